"""Ground of the house: memory, threads and the private parts of scikit-learn, which know nothing of networks."""
