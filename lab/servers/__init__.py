"""The servers that stand for AWS's services in the lab, one file each. How to add one: `lab/README.md`."""
