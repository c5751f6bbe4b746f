package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"mars/strategy"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Limits of the server of metrics. It answers root's own tools; a slow or idle
// client must not hold anything for long.
const (
	metricsHeaderTime = 5 * time.Second
	metricsWriteTime  = 60 * time.Second // a CPU profile takes 30 s
	metricsStopTime   = 2 * time.Second
	metricsMost       = 4 // scrapes at a time
)

// metricsAddr is the address to listen on for what the flag says: without a
// host it is this one alone, for the figures tell more than strangers need.
func metricsAddr(flag string) (string, error) {
	host, port, err := net.SplitHostPort(flag)
	if err != nil {
		host, port = "", flag // a port alone
	}
	n, err := net.LookupPort("tcp", port)
	if err != nil || port == "" {
		return "", fmt.Errorf("--metrics must be [HOST]:PORT or PORT, found %q", flag)
	}
	if host == "" {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, fmt.Sprint(n)), nil
}

// metricServer answers scrapes until Close.
type metricServer struct {
	addr net.Addr
	http *http.Server
	done chan struct{}
}

// metricHandler is what the server serves: the metrics, and with profiles the
// Go runtime's.
func metricHandler(c prometheus.Collector, profiles bool, log *slog.Logger) (http.Handler, error) {
	reg := prometheus.NewRegistry() // our own: nothing that a library has put into the global one
	for _, x := range []prometheus.Collector{c, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})} {
		if err := reg.Register(x); err != nil {
			return nil, fmt.Errorf("metrics: %w", err)
		}
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn), MaxRequestsInFlight: metricsMost, Timeout: 2 * gatherTimeout,
	}))
	if profiles {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	return mux, nil
}

func serveMetrics(addr string, h http.Handler, log *slog.Logger) (*metricServer, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("cannot serve metrics: %w", err)
	}
	s := &metricServer{addr: l.Addr(), done: make(chan struct{}), http: &http.Server{
		Handler: h, ReadHeaderTimeout: metricsHeaderTime, ReadTimeout: metricsHeaderTime, WriteTimeout: metricsWriteTime, IdleTimeout: metricsWriteTime,
		MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}}
	go func() {
		defer close(s.done)
		if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			log.Error("metrics are not served any more", "err", err)
		}
	}()
	return s, nil
}

// Close ends the service; scrapes under way get a moment.
func (s *metricServer) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), metricsStopTime)
	defer cancel()
	if s.http.Shutdown(ctx) != nil {
		_ = s.http.Close() // whoever did not come to an end in time
	}
	<-s.done
}

// figures asks the node, which lives on its executor.
func (d *daemon) figures(withStatus bool, stop <-chan struct{}) (*strategy.Figures, error) {
	answer := make(chan *strategy.Figures, 1)
	d.node.Executor(0).Post(func() {
		d.strat.Measure(withStatus, func(f *strategy.Figures) { answer <- f })
	})
	late := time.NewTimer(gatherTimeout)
	defer late.Stop()
	select {
	case f := <-answer:
		return f, nil
	case <-late.C:
		return nil, errGather
	case <-stop:
		return nil, net.ErrClosed
	}
}

// buildMetrics starts the server of metrics if it is asked for.
func (d *daemon) buildMetrics() error {
	if d.opt.Metrics == "" {
		return nil
	}
	c := newCollector(d.opt.MarsDir, func() (*strategy.Figures, error) { return d.figures(true, nil) }, d.node.Traffic, d.node.Executor(0).FS())
	h, err := metricHandler(c, d.opt.Pprof, d.log)
	if err != nil {
		return err
	}
	if d.metrics, err = serveMetrics(d.opt.Metrics, h, d.log); err != nil {
		return err
	}
	d.log.Info("metrics", "url", "http://"+d.metrics.addr.String()+"/metrics", "pprof", d.opt.Pprof)
	return nil
}
