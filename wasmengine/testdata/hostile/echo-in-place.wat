;; expect: ok
;; manifest: {"layout":"grow"}
;; Answers its inputs without copying: output_bufs is input_bufs.
(module
  (memory (export "memory") 1)
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  (func (export "_start")
    (i32.store (i32.const 1056) (i32.load (i32.const 1052)))
    (i32.store offset=20 (i32.load (i32.const 1048))
      (i32.load offset=8 (i32.add (i32.load (i32.const 1040)) (i32.mul (i32.load (i32.const 1036)) (i32.const 12)))))
    (i32.store (i32.const 1024) (i32.const 0))))
