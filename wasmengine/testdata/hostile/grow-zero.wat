;; expect: deadline
;; manifest: {"layout":"grow"}
;; memory.grow by 0 for ever. With a fuel limit: out-of-fuel.
(module
  (memory (export "memory") 1)
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  (func (export "_start")
    (loop $again (drop (memory.grow (i32.const 0))) (br $again))))
