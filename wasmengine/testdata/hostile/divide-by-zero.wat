;; expect: trap
;; Integer division by zero.
(module
  (memory (export "memory") 1)
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  (func (export "_start")
    (drop (i32.div_u (i32.const 1) (i32.load (i32.const 2048))))))
