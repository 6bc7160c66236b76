package server

import (
	"net/http"

	"pappus/dispatcher"
	"pappus/dispatcher/composition"
	"pappus/engine"
	"pappus/registry"
	"pappus/server/api"
	"pappus/server/problem"
)

// describeComposition makes a composition's JSON.
func describeComposition(v *registry.Version, tags map[string]int64) api.Composition {
	c := api.Composition{
		Name: v.Name, Version: v.Number, Digest: v.Digest, Inputs: v.Signature.Inputs, Outputs: v.Signature.Outputs,
		Source: v.Source, Tags: tags, Created: v.Created,
	}
	for _, u := range v.Uses {
		c.Uses = append(c.Uses, api.Use{
			Ref: u.Ref().String(), Inputs: orEmpty(u.Signature.Inputs), Outputs: orEmpty(u.Signature.Outputs), Open: u.Signature.Open,
		})
	}
	return c
}

// orEmpty is a list that is one in JSON too.
func orEmpty(params []engine.Param) []engine.Param {
	if params == nil {
		return []engine.Param{}
	}
	return params
}

// putComposition registers a source as a version of a composition.
func (s *Server) putComposition(x *exchange) error {
	name, err := x.name()
	if err != nil {
		return err
	}
	if registry.Reserved(name) {
		return problem.New(problem.ReservedName, quote(name)+" belongs to an I/O function")
	}
	query, err := parseComposeQuery(x.r.URL.RawQuery, "tag", forceParameter)
	if err != nil {
		return err
	}
	source, err := x.readSource()
	if err != nil {
		return err
	}
	v, created, warnings, err := s.dispatcher.PublishComposition(x.r.Context(), dispatcher.CompositionPublication{
		Tenant: tenant, Name: name, Source: source, Tags: query.tags, Force: query.force,
	})
	if err != nil {
		return withWarnings(err, warnings)
	}
	status := x.created(created, "/v1/compositions/", v)
	tags, err := s.tags(x, name)
	if err != nil {
		return err
	}
	c := describeComposition(v, tags)
	c.Warnings = placesOf(warnings)
	return x.writeJSON(status, c)
}

// checkComposition says what a source would be, and stores nothing.
func (s *Server) checkComposition(x *exchange) error {
	query, err := parseComposeQuery(x.r.URL.RawQuery, "name")
	if err != nil {
		return err
	}
	source, err := x.readSource()
	if err != nil {
		return err
	}
	sig, warnings, err := s.dispatcher.CheckComposition(x.r.Context(), tenant, query.name, source)
	if err != nil {
		return withWarnings(err, warnings)
	}
	return x.writeJSON(http.StatusOK, api.Checked{Inputs: orEmpty(sig.Inputs), Outputs: orEmpty(sig.Outputs), Warnings: placesOf(warnings)})
}

// readSource reads a body that is a source, whatever its type says.
func (x *exchange) readSource() (string, error) {
	if err := checkEncoding(x.r); err != nil {
		return "", err
	}
	body, err := x.readBody(composition.MaxSource, false)
	return string(body), err
}

// withWarnings adds what looks wrong besides to what makes a source invalid.
func withWarnings(err error, warnings []composition.Diagnostic) error {
	p := *toProblem(err)
	if p.Code() == problem.InvalidComposition && len(warnings) > 0 {
		p.Warnings = placesOf(warnings)
	}
	return &p
}

// getComposition answers with a version, or with its source alone where text is
// more welcome than JSON.
func (s *Server) getComposition(x *exchange) error {
	v, err := s.resolveKind(x, registry.KindComposition)
	if err != nil {
		return err
	}
	x.w.Header().Add("Vary", "Accept")
	if accept := parseAccept(x.r.Header["Accept"]); accept.rank(typeText) > accept.rank(typeJSON) {
		return x.writePage(typeText, []byte(v.Source))
	}
	return s.answerVersion(x, http.StatusOK, v)
}
