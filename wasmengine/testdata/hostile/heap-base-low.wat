;; expect: ok or rejected-module
;; Layout `dandelion` with a __heap_base below the struct: placing inputs may overwrite it,
;; never anything of the host.
(module
  (memory (export "memory") 1)
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  (global (export "__heap_base") i32 (i32.const 0))
  (func (export "_start")
    (i32.store (i32.const 1024) (i32.const 0))))
