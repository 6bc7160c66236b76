;; expect: rejected-module
;; Declares 65,535 pages, more than the default memory limit.
(module
  (memory (export "memory") 65535)
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  (func (export "_start")
    (i32.store (i32.const 1024) (i32.const 0))))
