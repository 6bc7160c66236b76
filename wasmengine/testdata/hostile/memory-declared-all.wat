;; expect: rejected-module
;; Declares 65,536 pages, all of 4 GiB: one more than is allowed whatever the limit.
(module
  (memory (export "memory") 65536)
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  (func (export "_start")
    (i32.store (i32.const 1024) (i32.const 0))))
