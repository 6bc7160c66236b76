;; expect: rejected-module
;; The struct's address is an imported global.
(module
  (import "env" "base" (global $base i32))
  (memory (export "memory") 1)
  (export "__dandelion_system_data" (global $base))
  (func (export "_start")
    (i32.store (i32.const 1024) (i32.const 0))))
