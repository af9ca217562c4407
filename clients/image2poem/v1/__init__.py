"""The contract, version 1, as Python: generated from `proto/image2poem/v1`; do not edit."""
