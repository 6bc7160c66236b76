;; expect: deadline
;; memory.init of a passive segment for ever. With a fuel limit: out-of-fuel.
(module
  (memory (export "memory") 1)
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  (data $segment "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef")
  (func (export "_start")
    (loop $again
      (memory.init $segment (i32.const 2048) (i32.const 0) (i32.const 64))
      (br $again))))
