package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-proxy/sluice/internal/knative"
	"github.com/sluice-proxy/sluice/internal/standalone/client"
)

// logs is the subcommand of that name.
func logs(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := newSubcommandFlags("logs", "[SERVICE] [-n NAMESPACE] [-f] [-tail N]: what the apps of the running quickstart write")
	l := logReader{out: stdout, seen: map[types.UID]bool{}}
	flags.BoolVar(&l.follow, "f", false, "follow: also what they write from now on, and apps that start")
	flags.IntVar(&l.tail, "tail", -1, "only the last `number` of lines of each replica")
	namespace := flags.String("n", "default", "`namespace` of SERVICE")
	services, err := flags.parse(args, 1, stderr)
	if err != nil {
		return err
	}
	if l.client, err = flags.open(); err != nil {
		return err
	}
	defer l.client.Close()
	l.path = "/api/v1/pods"
	if len(services) > 0 {
		service := "/apis/serving.knative.dev/v1/namespaces/" + *namespace + "/services/" + services[0]
		if err := l.client.Exists(ctx, service); err != nil {
			return fmt.Errorf("logs: namespace %s: %w; quickstart status lists the services, and -n names another namespace", *namespace, err)
		}
		l.path, l.selector = "/api/v1/namespaces/"+*namespace+"/pods", knative.LabelService+"="+services[0]
	}
	return l.run(ctx)
}

// logReader writes the logs of pods to out.
type logReader struct {
	client         *client.Client
	path, selector string // of the pods
	follow         bool
	tail           int
	seen           map[types.UID]bool // pods whose logs have been opened
	readers        sync.WaitGroup

	mu  sync.Mutex // of out: one line at a time
	out io.Writer
}

// run reads all pods' logs; with follow until ctx or the quickstart ends.
func (l *logReader) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer l.readers.Wait()
	defer cancel()
	for first := true; ; first = false {
		pods, version, err := l.client.List(ctx, l.path, l.selector)
		switch {
		case ctx.Err() != nil, errors.Is(err, client.ErrNone) && !first: // it has ended meanwhile
			return nil
		case err != nil:
			return err
		}
		for i := range pods {
			l.open(ctx, &pods[i])
		}
		if !l.follow {
			l.readers.Wait()
			return nil
		}
		if err := l.client.Watch(ctx, l.path, l.selector, version, func(pod *unstructured.Unstructured) { l.open(ctx, pod) }); err != nil && ctx.Err() == nil {
			return err
		}
	}
}

// open reads the log of a pod, unless that has been done.
func (l *logReader) open(ctx context.Context, pod *unstructured.Unstructured) {
	if l.seen[pod.GetUID()] {
		return
	}
	l.seen[pod.GetUID()] = true
	l.readers.Go(func() {
		log, err := l.client.Log(ctx, pod.GetNamespace(), pod.GetName(), l.follow, l.tail)
		if err != nil {
			return // it is gone
		}
		defer log.Close()
		for in := bufio.NewReader(log); ; {
			line, err := in.ReadString('\n')
			if line != "" {
				l.write(pod.GetName() + " | " + strings.TrimSuffix(line, "\n"))
			}
			if err != nil {
				return
			}
		}
	})
}

func (l *logReader) write(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintln(l.out, line)
}
