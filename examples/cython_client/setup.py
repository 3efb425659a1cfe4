"""pip install lossopt cython setuptools; python setup.py build_ext --inplace; python run.py"""

from Cython.Build import cythonize
from setuptools import Extension, setup

setup(name="cython_client", py_modules=[], ext_modules=cythonize([Extension("client", ["client.pyx"])]))
