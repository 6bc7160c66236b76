;; expect: ok
;; Declares 1 page and a maximum of 1: layout dandelion cannot grow it, and the inputs must fit
;; there.
(module
  (memory (export "memory") 1 1)
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  (func (export "_start")
    (i32.store (i32.const 1024) (i32.const 0))))
