;; expect: rejected-module
;; A valid module that exports nothing.
(module (memory 1) (func))
