// Package pappus makes a function of a program in Go.
//
//	func main() { pappus.Main(run) }
//
//	func run(in pappus.Inputs) (pappus.Outputs, error) {
//		out := pappus.Outputs{}
//		for _, item := range in["text"] {
//			item.Data = bytes.ToUpper(item.Data)
//			out["upper"] = append(out["upper"], item)
//		}
//		return out, nil
//	}
//
// Built for GOOS=wasip1 as a library, and made pure, it becomes a function
// (README.md). Built for the machine that it is developed on, it runs on the
// folder of a case, so that it can be debugged and tested like any program.
//
// The package depends on the standard library, and on as little of it in a
// function as there is: what it imports is in every function.
package pappus
