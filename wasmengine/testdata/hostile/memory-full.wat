;; expect: out-of-memory or rejected-module
;; The same without __heap_base: there is no room for inputs, however small.
(module
  (memory (export "memory") 1 1)
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  (func (export "_start")
    (i32.store (i32.const 1024) (i32.const 0))))
