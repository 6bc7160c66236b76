package api

import "encoding/json"

// Param is one input or output set of a signature. Its JSON is a name alone
// where there is nothing else to say, and otherwise an object.
type Param struct {
	Name        string `json:"name"`
	Type        string `json:"type,omitempty"`         // "item": exactly one item; "" or "set": any number
	ContentType string `json:"content_type,omitempty"` // of an output's items in raw answers
}

// UnmarshalJSON reads a name alone, or an object.
func (p *Param) UnmarshalJSON(b []byte) error {
	*p = Param{}
	if json.Unmarshal(b, &p.Name) == nil {
		return nil
	}
	type object Param // without this method
	return json.Unmarshal(b, (*object)(p))
}

// MarshalJSON gives the name alone where there is nothing else to say, as the
// API does.
func (p Param) MarshalJSON() ([]byte, error) {
	if p.ContentType == "" && (p.Type == "" || p.Type == "set") {
		return json.Marshal(p.Name)
	}
	type object Param // without this method
	return json.Marshal(object(p))
}
