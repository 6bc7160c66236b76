;; expect: ok or rejected-module
;; Declares a table of ten million entries: the memory of the process must stay bounded.
(module
  (memory (export "memory") 1)
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  (table 10000000 funcref)
  (func (export "_start")
    (i32.store (i32.const 1024) (i32.const 0))))
