;; expect: ok
;; Declares 1 page and a maximum of 1: the memory cannot grow, but small inputs fit behind
;; __heap_base.
(module
  (memory (export "memory") 1 1)
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  (global (export "__heap_base") i32 (i32.const 2048))
  (func (export "_start")
    (i32.store (i32.const 1024) (i32.const 0))))
