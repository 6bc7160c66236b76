;; expect: trap
;; Writes exit code 7, then divides by zero: a trap all the same.
(module
  (memory (export "memory") 1)
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  (func (export "_start")
    (i32.store (i32.const 1024) (i32.const 7))
    (drop (i32.div_u (i32.const 1) (i32.load (i32.const 2048))))))
