"""The ``ace`` network of version 0.1, against which its faster form is tested and timed."""
