;; expect: ok
;; Imports a memory that is not env.memory.
(module
  (import "js" "mem" (memory 1))
  (export "memory" (memory 0))
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  (func (export "_start")
    (i32.store (i32.const 1024) (i32.const 0))))
