;; expect: rejected-module
;; _start takes a parameter.
(module
  (memory (export "memory") 1)
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  (func (export "_start") (param i32)))
