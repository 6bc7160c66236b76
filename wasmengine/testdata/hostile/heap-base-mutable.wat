;; expect: rejected-module or ok
;; __heap_base is a mutable global.
(module
  (memory (export "memory") 1)
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  (global (export "__heap_base") (mut i32) (i32.const 2048))
  (func (export "_start")
    (i32.store (i32.const 1024) (i32.const 0))))
