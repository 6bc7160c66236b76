;; expect: ok
;; Imports env.memory and exports it.
(module
  (import "env" "memory" (memory 1))
  (export "memory" (memory 0))
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  (func (export "_start")
    (i32.store (i32.const 1024) (i32.const 0))))
