// A program with the published Go client in it. The protocol: tests/src/app.rs.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"

	"github.com/periskop-dev/periskop-go"
)

type told struct {
	Class    string   `json:"class"`
	Count    int      `json:"count"`
	Messages []string `json:"messages"`
}

type orderError struct{ number int }

func (e orderError) Error() string { return fmt.Sprintf("order – number %d", e.number) }

func main() {
	address := "127.0.0.1:0"
	if len(os.Args) > 1 {
		address = "127.0.0.1:" + os.Args[1]
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}

	collector := periskop.NewErrorCollector()
	exporter := periskop.NewErrorExporter(&collector)
	gateway := os.Getenv("PERISKOP_PUSH_TO")
	http.Handle("/-/exceptions", periskop.NewHandler(exporter))
	go http.Serve(listener, nil)
	fmt.Printf("listening on %s\n", listener.Addr())

	known := map[string]*told{}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var kind string
		var n int
		if _, err := fmt.Sscanf(lines.Text(), "raise %s %d", &kind, &n); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		if known[kind] == nil {
			known[kind] = &told{}
		}
		for i := 0; i < n; i++ {
			raise(&collector, kind, known[kind])
			if gateway != "" {
				// Whoever is not there is told everything the next time.
				_ = exporter.PushToGateway(gateway)
			}
		}
		answer, _ := json.Marshal(known[kind])
		fmt.Println(string(answer))
	}
}

// The client's default key has the message in it, so a kind with a numbered message needs a key of
// its own to be one error.
func raise(collector *periskop.ErrorCollector, kind string, known *told) {
	known.Count++
	var err error
	switch kind {
	case "plain":
		err = errors.New("the same every time")
		collector.ReportError(err)
	case "order":
		err = orderError{known.Count}
		request, _ := http.NewRequest("POST", "http://shop.example/pay?order=1", strings.NewReader("ä"))
		request.Header.Set("Authorization", "Bearer s3cr3t")
		request.Header.Set("X-Request", "7")
		collector.Report(periskop.ErrorReport{
			Err:         err,
			Severity:    periskop.SeverityWarning,
			HTTPRequest: request,
			ErrKey:      "orders/lost in transit – 100%",
		})
	default:
		fmt.Fprintln(os.Stderr, "no such kind:", kind)
		os.Exit(1)
	}
	known.Class = fmt.Sprintf("%T", err)
	known.Messages = append(known.Messages, err.Error())
}
