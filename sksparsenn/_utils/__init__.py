"""What all rooms may use: memory, threads and the private parts of scikit-learn, independent of networks."""
