// Package plots draws figures of results as SVG. It owns how they look and
// which axes are logarithmic, and knows nothing of what is measured.
package plots
