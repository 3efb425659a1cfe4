"""pip install lossopt setuptools; python setup.py build_ext --inplace; python run.py"""

from setuptools import Extension, setup

import lossopt

client = Extension("client", ["client.c"], include_dirs=[lossopt.get_include()])
setup(name="c_client", py_modules=[], ext_modules=[client])
