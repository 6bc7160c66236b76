;; expect: out-of-memory
;; Declares 1 page and a maximum of 1: layout dandelion places behind it, and there is no room.
(module
  (memory (export "memory") 1 1)
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  (func (export "_start")
    (i32.store (i32.const 1024) (i32.const 0))))
