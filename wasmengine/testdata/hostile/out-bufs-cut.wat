;; expect: bad-output
;; The array begins inside of memory and its second item ends outside (in any memory that is a
;; whole number of pages).
(module
  (memory (export "memory") 1)
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  (func (export "_start")
    (i32.store (i32.const 1056) (i32.sub (i32.mul (memory.size) (i32.const 65536)) (i32.const 24)))
    (i32.store offset=20 (i32.load (i32.const 1048)) (i32.const 2))
    (i32.store (i32.const 1024) (i32.const 0))))
