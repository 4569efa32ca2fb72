"""polyloop together with the libraries that its how-to guides are about, each used for real."""
