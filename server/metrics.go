package server

import (
	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the server's own figures. Labels have few values: routes as they
// are registered, methods that are routed, and classes of statuses.
type metrics struct {
	requests  *prometheus.CounterVec
	inFlight  prometheus.Gauge
	bodyBytes prometheus.Counter
	unrouted  *routeMetrics // requests that no route took
}

// routeMetrics are the counters of one route, by class of status.
type routeMetrics struct {
	path    string
	classes [6]prometheus.Counter // by the first digit; 0 for anything else
}

func newMetrics(registerer prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pappus_http_requests_total",
			Help: "Requests that were answered, by route, method and class of status.",
		}, []string{"route", "method", "class"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "pappus_http_requests_in_flight",
			Help: "Requests that are being answered.",
		}),
		bodyBytes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pappus_http_request_body_bytes_total",
			Help: "Bytes of request bodies that were read.",
		}),
	}
	for _, c := range []prometheus.Collector{m.requests, m.inFlight, m.bodyBytes} {
		if err := registerer.Register(c); err != nil {
			return nil, err
		}
	}
	m.unrouted = m.route("none", "none")
	return m, nil
}

func (m *metrics) route(path, method string) *routeMetrics {
	r := &routeMetrics{path: path}
	for i, class := range []string{"other", "1xx", "2xx", "3xx", "4xx", "5xx"} {
		r.classes[i] = m.requests.WithLabelValues(path, method, class)
	}
	return r
}

func (r *routeMetrics) count(status int) {
	class := status / 100
	if class < 0 || class >= len(r.classes) {
		class = 0
	}
	r.classes[class].Inc()
}
