;; expect: deadline
;; The jump back is a br_table. With a fuel limit: out-of-fuel.
(module
  (memory (export "memory") 1)
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  (func (export "_start")
    (loop $again
      (br_table $again $again (i32.load (i32.const 2048))))))
