;; expect: rejected-module
;; Imports env.memory and a function.
(module
  (import "env" "memory" (memory 1))
  (import "env" "f" (func $f))
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  (func (export "_start")
    (call $f)))
