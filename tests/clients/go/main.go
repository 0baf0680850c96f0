// SPDX-License-Identifier: Apache-2.0

// Speaks HTTP as Go programs do and says what it saw, as one JSON object.
package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

type result map[string]any

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func pattern(size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(i % 251)
	}
	return b
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

func do(c *http.Client, r *http.Request) (*http.Response, []byte) {
	response, err := c.Do(r)
	check(err)
	body, err := io.ReadAll(response.Body)
	check(err)
	check(response.Body.Close())
	return response, body
}

func get(c *http.Client, url string) (*http.Response, []byte) {
	r, err := http.NewRequest("GET", url, nil)
	check(err)
	return do(c, r)
}

func keepAlive(c *http.Client, base string, out result) {
	var reused int
	trace := &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) {
		if i.Reused {
			reused++
		}
	}}
	for i := 0; i < 10; i++ {
		ctx := httptrace.WithClientTrace(context.Background(), trace)
		r, err := http.NewRequestWithContext(ctx, "GET", base+"/", nil)
		check(err)
		response, _ := do(c, r)
		out["proto"] = response.Proto
	}
	out["reused"] = reused
}

// The body has no known length, so it is chunked, with a trailer.
func upload(c *http.Client, base string, size int, out result) {
	data := pattern(size)
	r, err := http.NewRequest("POST", base+"/up",
		io.MultiReader(bytes.NewReader(data)))
	check(err)
	r.Trailer = http.Header{"X-Sum": {sum(data)}}
	_, body := do(c, r)
	var said struct {
		Sum      string              `json:"body_sha256"`
		Trailers map[string][]string `json:"trailers"`
		HTTP     string              `json:"http"`
	}
	check(json.Unmarshal(body, &said))
	out["app_http"] = said.HTTP
	out["upload_exact"] = said.Sum == sum(data)
	out["upload_trailer"] = len(said.Trailers["x-sum"]) == 1 &&
		said.Trailers["x-sum"][0] == sum(data)
}

func download(c *http.Client, base string, size int, out result) {
	response, body := get(c, fmt.Sprintf("%s/chunked/%d", base, size))
	out["download_exact"] = bytes.Equal(body, pattern(size))
	out["download_trailer"] = response.Trailer.Get("X-Checksum") == sum(body)
}

func parallel(c *http.Client, base string, out result) {
	var good int32
	var wait sync.WaitGroup
	for i := 0; i < 50; i++ {
		wait.Add(1)
		go func(i int) {
			defer wait.Done()
			_, body := get(c, fmt.Sprintf("%s/p%d?delay=0.1", base, i))
			if strings.Contains(string(body), fmt.Sprintf(`"/p%d?`, i)) {
				atomic.AddInt32(&good, 1)
			}
		}(i)
	}
	wait.Wait()
	out["parallel"] = good
}

func expect(c *http.Client, base string, out result) {
	r, err := http.NewRequest("POST", base+"/", strings.NewReader("hello"))
	check(err)
	r.Header.Set("Expect", "100-continue")
	_, body := do(c, r)
	out["expect"] = strings.Contains(string(body), sum([]byte("hello")))
}

func cancel(c *http.Client, base string, out result) {
	ctx, stop := context.WithTimeout(context.Background(),
		300*time.Millisecond)
	defer stop()
	r, err := http.NewRequestWithContext(ctx, "GET", base+"/?delay=30", nil)
	check(err)
	_, err = c.Do(r)
	out["cancelled"] = err != nil && ctx.Err() != nil
	response, _ := get(c, base+"/")
	out["after_cancel"] = response.StatusCode
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: client h1|h2c URL")
		os.Exit(2)
	}
	kind, base := os.Args[1], os.Args[2]
	transport := &http.Transport{MaxIdleConnsPerHost: 50,
		ExpectContinueTimeout: 10 * time.Second}
	out := result{"supported": true}
	if kind == "h2c" {
		out["supported"] = speakH2C(transport)
	}
	if out["supported"] == true {
		c := &http.Client{Transport: transport, Timeout: 60 * time.Second}
		keepAlive(c, base, out)
		upload(c, base, 8<<20, out)
		download(c, base, 8<<20, out)
		parallel(c, base, out)
		expect(c, base, out)
		cancel(c, base, out)
	}
	check(json.NewEncoder(os.Stdout).Encode(out))
}
