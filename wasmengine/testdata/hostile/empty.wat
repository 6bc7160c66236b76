;; expect: rejected-module
;; The empty module.
(module)
