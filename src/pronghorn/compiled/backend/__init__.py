"""From a decorated function to machine code: Numba as front end, LLVM as back end. Imported only when compiling.

frontend   one function -> LLVM intermediate code, cached under the function's key
units      the functions of a file -> one object, cached under the hash of its intermediate code
jit        objects -> memory of this process
"""
