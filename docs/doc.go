// Package docs holds the project's documents, and the tests that compare what
// they name with the source. There is no other code in it, and nothing imports
// it.
package docs
