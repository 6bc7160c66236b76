package contract

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"go.yaml.in/yaml/v3"

	"pappus/internal/multiparts"
)

// orBytes is a content type, or that of bytes for one that is missing.
func orBytes(contentType string) string {
	if contentType == "" {
		return "application/octet-stream"
	}
	return contentType
}

// checkBody checks a body against the schema that the description has for its
// type. Nothing is said of one that was not seen to its end.
func checkBody(b Body, contentType string, schema *openapi3.SchemaRef) error {
	if !b.Whole || schema == nil || schema.Value == nil {
		return nil
	}
	value, err := decode(b.Bytes, orBytes(contentType), schema.Value)
	if err != nil {
		return fmt.Errorf("a body of type %q can't be read: %w", contentType, err)
	}
	if err := schema.Value.VisitJSON(value); err != nil {
		return fmt.Errorf("a body of type %q is not as described: %w", contentType, err)
	}
	return nil
}

// decode makes a value of a body, as encoding/json would.
func decode(b []byte, contentType string, schema *openapi3.Schema) (any, error) {
	typ, params, err := mime.ParseMediaType(contentType)
	if schema.Type.Is("string") { // bytes of any kind, text included
		return string(b), nil //nolint:nilerr // then the type says nothing that is needed
	}
	switch {
	case err != nil:
		return nil, err
	case typ == "application/json", strings.HasSuffix(typ, "+json"):
		dec := json.NewDecoder(bytes.NewReader(b))
		dec.UseNumber()
		var value any
		if err := dec.Decode(&value); err != nil {
			return nil, err
		}
		if _, err := dec.Token(); !errors.Is(err, io.EOF) {
			return nil, errors.New("something follows the JSON")
		}
		return value, nil
	case typ == "application/yaml":
		var value map[string]any
		err := yaml.Unmarshal(b, &value)
		return value, err
	case typ == "multipart/form-data", typ == "multipart/mixed":
		return decodeMultipart(b, params["boundary"], typ == "multipart/form-data", schema)
	}
	return nil, errors.New("there is no decoder for it")
}

// decodeMultipart makes an object of parts by their names: a text where the
// schema has one for the name, and a list of texts otherwise.
func decodeMultipart(b []byte, boundary string, form bool, schema *openapi3.Schema) (any, error) {
	value := make(map[string]any)
	parts := multiparts.NewReader(bytes.NewReader(b), boundary)
	for i := 0; ; i++ {
		part, err := parts.Next()
		if err == io.EOF { //nolint:errorlint // whatever else ends with it is not whole
			return value, nil
		}
		if err != nil {
			return nil, err
		}
		disposition, params, err := mime.ParseMediaType(part.Header.Get("Content-Disposition"))
		if err != nil {
			return nil, fmt.Errorf("part %d: %w", i, err)
		}
		if name, ok := params["name"]; !ok || (disposition == "form-data") != form {
			return nil, fmt.Errorf("part %d: the Content-Disposition %s has the name %q", i, disposition, name)
		}
		content, err := io.ReadAll(part)
		if err != nil {
			return nil, fmt.Errorf("part %d: %w", i, err)
		}
		name := params["name"]
		if p := schema.Properties[name]; p != nil && p.Value.Type.Is("string") {
			if value[name] != nil {
				return nil, fmt.Errorf("part %d: there is more than one of %q", i, name)
			}
			value[name] = string(content)
			continue
		}
		list, _ := value[name].([]any)
		value[name] = append(list, string(content))
	}
}
