// Package viewer has the page that shows the description of the HTTP
// interface: Swagger UI as its makers built it, kept compressed, and the few
// lines that start it. It owns the files and what says how a browser may use
// them; it knows nothing of the project.
//
// The files come out of the package swagger-ui-dist, version in VERSION, by
// make viewer. The page asks for nothing but these files and the description.
package viewer
