;; expect: rejected-module or trap
;; A data segment that does not fit into memory.
(module
  (memory (export "memory") 1)
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  (data (i32.const 65535) "ab")
  (func (export "_start")
    (i32.store (i32.const 1024) (i32.const 0))))
