"use strict";
// Shows events as they come. All HTML is made, and escaped, by the server.
const list = document.getElementById("events");
const most = Number(list.dataset.most);
const stream = new EventSource("events?place=" + encodeURIComponent(list.dataset.place));
stream.addEventListener("message", (m) => {
  list.insertAdjacentHTML("afterbegin", m.data);
  while (list.children.length > most) list.lastElementChild.remove();
});
stream.addEventListener("list", (m) => { list.innerHTML = m.data; });
