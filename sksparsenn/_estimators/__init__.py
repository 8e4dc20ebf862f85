"""What users fit: estimators validate, dispatch to training, and store the result as arrays."""
