;; expect: deadline
;; manifest: {"layout":"grow"}
;; Grows memory page by page and goes on when there is no more. With a fuel limit: out-of-fuel.
(module
  (memory (export "memory") 1)
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  (func (export "_start")
    (loop $again (drop (memory.grow (i32.const 1))) (br $again))))
