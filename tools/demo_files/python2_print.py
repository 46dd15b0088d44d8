"""List the files of a directory, in the Python of 2008."""

import os
import sys

for name in sorted(os.listdir(sys.argv[1])):
    print name, os.path.getsize(os.path.join(sys.argv[1], name))
