;; expect: rejected-module
;; manifest: {"limits":{"memory":"1KiB"}}
;; The manifest asks for less than one page of memory.
(module
  (memory (export "memory") 1)
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  (func (export "_start")
    (i32.store (i32.const 1024) (i32.const 0))))
