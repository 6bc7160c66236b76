;; expect: rejected-module
;; A shared memory.
(module
  (memory (export "memory") 1 1 shared)
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  (func (export "_start")
    (i32.store (i32.const 1024) (i32.const 0))))
