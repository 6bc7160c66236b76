;; expect: rejected-module
;; Imports a function by the name under which the platform might provide one.
(module
  (import "pappus" "refuel" (func $grow (param i32) (result i32)))
  (memory (export "memory") 1)
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  (func (export "_start")
    (drop (call $grow (i32.const 1)))))
