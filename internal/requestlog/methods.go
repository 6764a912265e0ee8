package requestlog

import (
	"crypto/tls"
	"net/http"
	"net/url"
	"reflect"

	"github.com/sluice-proxy/sluice/internal/template"
)

// methods are the methods that templates may call: all that read a request and change nothing. Each method is named as a
// string and as an expression: the linker keeps only the methods that expressions refer to.
func methods() template.Methods {
	return template.Methods{
		reflect.TypeFor[http.Request](): {
			"UserAgent": (*http.Request).UserAgent, "Referer": (*http.Request).Referer,
			"Cookie": (*http.Request).Cookie, "Cookies": (*http.Request).Cookies, "CookiesNamed": (*http.Request).CookiesNamed,
			"FormValue": formValue, "PostFormValue": postFormValue, "PathValue": (*http.Request).PathValue,
			"ProtoAtLeast": (*http.Request).ProtoAtLeast,
			"AddCookie":    nil, "BasicAuth": nil, "Clone": nil, "Context": nil, "FormFile": nil, "MultipartReader": nil, "ParseForm": nil,
			"ParseMultipartForm": nil, "SetBasicAuth": nil, "SetPathValue": nil, "WithContext": nil, "Write": nil, "WriteProxy": nil,
			"Body": nil, "GetBody": nil, "Cancel": nil, // these fields have no use in a template
		},
		reflect.TypeFor[url.URL](): {
			"EscapedFragment": (*url.URL).EscapedFragment, "EscapedPath": (*url.URL).EscapedPath, "Hostname": (*url.URL).Hostname,
			"IsAbs": (*url.URL).IsAbs, "Port": (*url.URL).Port, "Query": (*url.URL).Query, "Redacted": (*url.URL).Redacted,
			"RequestURI": (*url.URL).RequestURI, "String": (*url.URL).String,
			"AppendBinary": nil, "JoinPath": nil, "MarshalBinary": nil, "Parse": nil, "ResolveReference": nil, "UnmarshalBinary": nil,
		},
		reflect.TypeFor[url.Userinfo](): {
			"String": (*url.Userinfo).String, "Username": (*url.Userinfo).Username, "Password": nil,
		},
		reflect.TypeFor[http.Header](): {
			"Get": http.Header.Get, "Values": http.Header.Values,
			"Add": nil, "Clone": nil, "Del": nil, "Set": nil, "Write": nil, "WriteSubset": nil,
		},
		reflect.TypeFor[url.Values](): {
			"Encode": url.Values.Encode, "Get": url.Values.Get, "Has": url.Values.Has,
			"Add": nil, "Del": nil, "Set": nil,
		},
		reflect.TypeFor[http.Cookie]():         {"String": (*http.Cookie).String, "Valid": nil},
		reflect.TypeFor[tls.ConnectionState](): {"ExportKeyingMaterial": nil},
	}
}

// formValue is (*http.Request).FormValue for a request with an empty body, without linking mime/multipart.
func formValue(r *http.Request, key string) string {
	if r.Form == nil {
		_ = r.ParseForm() // malformed values are left out
	}
	return r.Form.Get(key)
}

func postFormValue(r *http.Request, key string) string {
	if r.PostForm == nil {
		_ = r.ParseForm()
	}
	return r.PostForm.Get(key)
}
