;; expect: rejected-module
;; Imports the function env.puts.
(module
  (import "env" "puts" (func $puts (param i32) (result i32)))
  (memory (export "memory") 1)
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  (func (export "_start")
    (drop (call $puts (i32.const 0)))))
